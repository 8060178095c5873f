"""Barycenters: the distribution whose mean transport cost to several samples is least.

* `barycenter`: the public function;
* `line`: averages of quantiles, exact for every p;
* `free`: free support in any dimension, from exact plans;
* `sliced`: free support along many lines;
* `images`: entropic and debiased, on the pixels of images;
* `gaussian`: the fixed point of Bures–Wasserstein, as affine maps of the samples;
* `result`: what they return, with the bracket on the optimal objective.
"""
