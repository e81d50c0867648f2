"""The lab: web pages on which a person explores what the desks know, decide and are worth."""
