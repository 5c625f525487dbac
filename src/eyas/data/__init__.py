"""From a data spec to batches: what a spec means, classes matched, the order of samples, the pipeline."""
