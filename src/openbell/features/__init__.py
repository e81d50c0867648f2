"""Features: causal expressions over the bars, or the filings, of one symbol. One file is one family.

Families of scale-free features serve a cross-section of names. `prices` alone holds levels (dollars, shares), which
say nothing across names, and whose size betrays later splits where a source delivers prices already split-adjusted.
"""
