"""The pieces of the page Almanac: the form of a scenario, what a look at it shows, and how it is kept and shared."""
