"""What the past says: panels, walk-forward, significance, champion, back-test, audit."""
