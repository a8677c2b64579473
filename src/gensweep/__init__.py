"""Which property of a minimum says that it generalises?"""
