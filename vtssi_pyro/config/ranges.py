"""The ranges that several declarations share, each with its reason."""

from vtssi_pyro.config.declared import Range

# The held-out sequences of every run have seeds from 2^40 on (train/splits.py), which no other data may have.
SEED = Range(0, 2**40 - 1)
# A thousand objects with a glimpse each fill the memory of any machine of today already in short sequences.
OBJECTS = Range(1, 1000)
# Frames and other pictures, pixels: a frame of 4096 holds 16 million.
SIDE = Range(1, 4096)
OBJECT_SIZE = Range(1, 65_536)  # pixels of a movie: what is smaller than one has no size
STORED_SIDE = Range(1, 65_536)  # of a camera's frames, pixels: more than any picture file may have
# Of frames: hyperspectral cameras have more, of which networks could learn nothing in common.
CHANNELS = Range(1, 64)
FRAMES = Range(1, 100_000)  # frames of a sequence: an hour of film
WINDOW = Range(1, 1000)  # frames that are looked at together, as first ones
SEQUENCES = Range(1, 100_000_000)  # DDPAE's published training, the largest known, sees 12.8 million
AHEAD = Range(1, 100_000)  # frames ahead, as long as a sequence
# Futures of a calibration and, so that it fits, of a prediction: two of 40 lie beyond each end of a 90 % interval.
SAMPLED = 40
DRAWN = Range(0, 100_000)  # sampled futures: the quantiles of as many are known to a thousandth
# Factor on the scales of draws: 0 draws modes; of 100, nothing of the model is left.
TEMPERATURE = Range(0, 100)
PATIENCE = Range(0, 1e6)  # seconds: eleven days

# Of a dense or recurrent layer, and channels of a convolution: an LSTM of as many takes 270 MB.
UNITS = Range(1, 4096)
KERNEL = Range(1, 256)  # side, pixels: a layer that makes eight of 256 x 256 takes half a gigabyte
DIMENSIONS = Range(1, 4096)  # of a latent variable
SHARE = Range(0, 1)
DROPOUT = Range(0, 1, "[)")  # of 1, nothing is left
# Where something is divided by a number, smaller ones make quotients whose squares exceed single precision.
SMALL = 1e-6
# Of a whole turn at which looks are matched: of 4, none may be near enough to register; degrees are finer than needed.
ANGLES = Range(4, 360)
# A standard deviation: a frame's side is 2 in frame coordinates, intensities end at 1.
SCALE = Range(SMALL, 100)
REACH = Range(SMALL, 10)  # factor on the tanh of a position's mean: of 1, objects stay within the frame
NATS = Range(0, 1e6)  # a weight or cost in an objective, where a frame's likelihood has thousands
EVIDENCE = Range(SMALL, 1e6)  # nats of a factor whose logarithm is learned
MOST_STEPS = 1_000_000_000  # of a training: the longest published one has two million
STEP = Range(0, MOST_STEPS)
EVERY = Range(1, MOST_STEPS)  # steps between two events of a training
NUMBER = Range(-1e9, 1e9)  # any number with which single precision can count
