"""Where bytes live, each chosen by URL: tables, journal, artifacts, tracker."""
