"""What a party does to its own columns before a model sees them: fitted on its training rows, kept in its model part,
applied to new rows."""

from vfl.preprocessing.pipeline import Fitting, Preprocessor, check_columns
from vfl.preprocessing.settings import Preprocessing
from vfl.preprocessing.standardise import Standardiser
from vfl.preprocessing.woe import Woe, WoeColumn

__all__ = ["Fitting", "Preprocessing", "Preprocessor", "Standardiser", "Woe", "WoeColumn", "check_columns"]
