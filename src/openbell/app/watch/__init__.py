"""Monitoring, alerts and notifications."""
