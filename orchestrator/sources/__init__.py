"""Where a run's machines come from: one ``Source`` for vCenter, one for a folder of files."""
