from .learned import Learned as Learned
from .learned import check_fits as check_fits
from .learned import is_learned as is_learned
from .learned import read_learned as read_learned
from .learned import write_learned as write_learned
