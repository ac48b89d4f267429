# The public names. docs/library.md describes each, and a test holds the two to each other.

# Record a network on a probe
from .datasets.examples import Examples as Examples
from .recording.probe import BlockRecord as BlockRecord
from .recording.probe import LayerRecord as LayerRecord
from .recording.probe import Recording as Recording
from .recording.probe import record as record

# Watch a training loop of one's own
from .recorder import Watch as Watch
from .recorder import watch as watch
from .results.watched import read_run as read_run

# What a watched run says of the gradient along its network, and through time
from .judging.stream import attenuation_along_stream as attenuation_along_stream
from .judging.through_time import attenuation_through_time as attenuation_through_time
from .judging.stream import gradient_along_stream as gradient_along_stream
from .judging.stream import gradient_through_time as gradient_through_time

# Whether a watched training will learn, and why not
from .judging.learning.causes import Cause as Cause
from .judging.learning.verdict import Verdict as Verdict
from .judging.learning.verdict import WillNotLearnError as WillNotLearnError
from .judging.learning.verdict import judge_learning as judge_learning

# Why the gradient of a network vanishes, in factors that multiply
from .explaining.explain import explain as explain
from .explaining.explanation import Explanation as Explanation

# What to do about a training that does not learn, because it was tried
from .remedies.advice import Advice as Advice
from .remedies.remedy import find_remedy as find_remedy

# A study or watched trainings as a page to explore
from .explorer.explore import explore as explore
from .explorer.page import Page as Page

# Check in a test that a network trains
from .gate.assertion import assert_trains as assert_trains

# Statistics of a tensor, and of the gradient on its way through the layers
from .stats.exact import rms as rms
from .stats.exact import summarize as summarize
from .stats.gradients import hops_and_attenuation as hops_and_attenuation
from .stats.histograms import Bin as Bin
from .stats.histograms import histogram_linear as histogram_linear
from .stats.histograms import histogram_log2 as histogram_log2

# Means over initialisations or seeds, with intervals
from .stats.intervals import arithmetic_mean as arithmetic_mean
from .stats.intervals import geometric_mean as geometric_mean
from .stats.intervals import interval as interval

# Mean-field theory
from .params.study import Variant as Variant
from .theory.meanfield import LayerTheory as LayerTheory
from .theory.meanfield import attenuation as attenuation
from .theory.meanfield import depth_scale as depth_scale
from .theory.meanfield import predict as predict
from .theory.network.walk import NetworkLayerTheory as NetworkLayerTheory
from .theory.network.walk import predict_network as predict_network
from .theory.network.recursions import NoTheoryError as NoTheoryError

# Registries of activation functions and initialisations
from .activations import ACTIVATIONS as ACTIVATIONS
from .initialisers import INITIALISERS as INITIALISERS

# Errors, and the version
from .errors import StudyError as StudyError
from .version import __version__ as __version__
