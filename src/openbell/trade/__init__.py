"""From a judged decision to orders, fills, positions and cash, all of it in the journal."""
