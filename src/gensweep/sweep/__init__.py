"""From a command line to runs: compose, check, plan, launch. No torch."""
