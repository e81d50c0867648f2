"""Reports: what a reader sees. A figure enters only with its number of observations, its interval and its tries."""
