"""Plotly figures of the pages: data in, a figure out."""
