"""Which device computes, precision, processes, signals; and where the time goes."""
