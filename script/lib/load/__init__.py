"""Load that checks every answer: what script/load runs."""
