"""A sampler is a function of denoise(x, sigma), a start x and noise levels."""


def sample(denoise, x, sigmas, *, noise=None, callback=None, churn: float = 0.0):
    """Euler's method, first order.

    Args:
        churn: share of the step's noise level that is taken out once more and put back as fresh noise, 0 … 1.
    """
    for i in range(len(sigmas) - 1):
        sigma, target = sigmas[i].to(x), sigmas[i + 1].to(x)
        x0 = denoise(x, sigmas[i])
        if callback is not None:
            callback(i, sigmas[i], x, x0)
        fresh = churn * target
        x = x0 + (x - x0) * ((target**2 - fresh**2).sqrt() / sigma)
        if churn and target > 0:
            x = x + fresh * noise(sigmas[i], sigmas[i + 1])
    return x
