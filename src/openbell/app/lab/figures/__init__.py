"""Plotly figures of the pages: data in, a figure out, in the template of the lab."""

from openbell.app.lab.theme import register

register()
