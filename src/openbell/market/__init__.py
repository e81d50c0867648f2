"""From sources to rows: providers, calendars, corporate actions, the quality gate and imports."""
