"""Pure mathematics on arrays and expressions: no I/O, no clock, no settings."""
