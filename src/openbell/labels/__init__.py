"""Labels: what a model is to forecast. They alone may look forward."""
