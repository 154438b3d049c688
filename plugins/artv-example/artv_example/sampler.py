def sample_midpoint(denoise, x, sigmas, *, noise=None, callback=None, place: float = 0.5):
    """Takes each step with the slope found at ``place`` along it in log sigma (Karras et al. 2022, table 1)."""
    for i in range(len(sigmas) - 1):
        sigma, target = sigmas[i], sigmas[i + 1]
        x0 = denoise(x, sigma)
        if callback is not None:
            callback(i, sigma, x, x0)
        if target > 0:
            between = sigma * (target / sigma) ** place
            x0 = denoise(x0 + (x - x0) * (between / sigma).to(x), between)
        x = x0 + (x - x0) * (target / sigma).to(x)
    return x
