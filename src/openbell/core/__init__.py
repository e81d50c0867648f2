"""Types, time, declarations and errors: the words every other room speaks."""
