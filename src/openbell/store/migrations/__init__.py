"""How a database of an older Openbell is brought to the newest schema."""
