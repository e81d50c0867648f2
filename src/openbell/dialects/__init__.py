"""Words that others speak: symbols and orders in, symbols and orders out, and back the same."""
