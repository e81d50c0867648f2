"""One file, one family of models, as regressor and classifier. Columns reach them in their fitted order, as float32.

A classifier is fitted on the codes 0 to k-1 of its classes. Features are centred ranks, so that 0 is the middle of a
date: it stands for a missing value where the library itself knows none.
"""
