"""Safety: one check per file, each a word of ALLOW, SHRINK or BLOCK on a decision. No switch turns them off."""
