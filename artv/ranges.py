"""Types of settings that say which values mean something; pydantic checks them, wherever a setting comes from."""

from typing import Annotated

from pydantic import Field

from artv.requests import LAST_SEED, MOST_PIXELS

Count = Annotated[int, Field(ge=1, le=10**8, strict=True)]
Several = Annotated[int, Field(ge=2, le=10**8, strict=True)]
Whole = Annotated[int, Field(ge=0, le=10**9, strict=True)]
Seed = Annotated[int, Field(ge=0, le=LAST_SEED, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=8, le=MOST_PIXELS, strict=True)]
Name = Annotated[str, Field(min_length=1)]
