"""Features: causal expressions over the days or the filings of one symbol, or over one option chain. A file, a family.

Families of scale-free features serve a cross-section of names. `prices` alone holds levels (dollars, shares), which
say nothing across names, and whose size betrays later splits where a source delivers prices already split-adjusted.
The 84 of the options desk (`quant.feature_groups`) are one underlying against its own past, so levels are among them.
"""
