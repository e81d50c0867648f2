"""The only room that reads the clock, the environment and the settings, and wires the others together."""
