"""Reading what is on record for the pages: a home in, frames and dataclasses out."""
