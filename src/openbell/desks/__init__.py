"""Desks: each turns a forecast, a book and a market into a decision, with its reasons in words."""
