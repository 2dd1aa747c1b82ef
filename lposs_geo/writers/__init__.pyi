from .quicklook import draw_map as draw_map
from .rasters import ClassArea as ClassArea
from .rasters import label_writer as label_writer
from .rasters import percent_writer as percent_writer
from .rasters import read_label_legend as read_label_legend
from .report import Report as Report
from .report import page as page
from .stac import item as item
