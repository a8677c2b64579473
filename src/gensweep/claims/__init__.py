"""What the papers claim, held against a table. The claims stand in the yaml files of this folder."""
