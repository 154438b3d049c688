"""What all models of users' YAML files have in common."""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class YamlModel(BaseModel):
    """Fields of a YAML file: no others, no NaN and no infinity, and no flag (``yes``) where a number or text is due."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag_for_something_else(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = str(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and not {"bool", "Any"} & set(re.findall(r"\w+", annotation)):
            raise ValueError("a number or a text is due here, not yes or no (a text such as no stands in quotes)")
        return value
