"""Sources of rows, one per file. Network access is handed in, never reached for."""
