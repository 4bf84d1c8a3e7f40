"""Every number of the model, once: frozen dataclasses whose defaults are appendix B's."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class AIRConfig:
    """AIR and the likelihood (App. B.1)."""

    num_objects: int = 2  # N
    frame_size: int = 50  # H = W, pixels
    glimpse: int = 25  # G, pixels
    description: int = 20  # D
    count_loc: float = -3.0  # at the end of training; it starts at -2
    count_scale: float = 1.0
    size_loc: tuple[float, float] = (0.3, 0.4)
    size_scale: float = 0.1
    noise: float = 0.3  # sigma_L
    bell_sigma: float = 0.5  # sigma_K
    counter_filters: tuple[tuple[int, int], ...] = ((16, 5), (16, 4), (16, 3))
    counter_pad: int = 3
    counter_dense: tuple[int, ...] = (256, 128)
    locator_filters: tuple[tuple[int, int], ...] = ((16, 3), (16, 3))
    locator_units: int = 256
    locator_head: int = 64
    dropout: float = 0.4
    vae_dense: tuple[int, ...] = (256, 128)
    stride: bool = False  # halve by strides instead of by max-pooling: faster
    same_padding: bool = False  # of CNN_pre's convolutions (reading D14); CNN_cnt has its explicit 3 pixels
    scale_transform: str = "softplus"  # or "exp": how all networks make scales positive (reading D12)
    place_scale: float = 0.1  # first scale of size and position; not in the paper


@dataclass(frozen=True)
class FINDConfig:
    """FIND (App. B.2.1)."""

    num_kernels: int = 8
    kernel_side: int = 10
    kernel_dense: tuple[int, ...] = (128, 256)
    filters: tuple[tuple[int, int], ...] = ((16, 5), (32, 3))
    dense: tuple[int, ...] = (128, 64)
    features: int = 50
    position_trunk: tuple[int, ...] = (64, 64)
    position_heads: tuple[int, ...] = (32,)
    position_scale: float = 1.0  # 1.5 lets objects be found partly out of the frame
    stride: bool = False
    same_padding: bool = False  # of the two learned convolutions (reading D14)
    scale_init: float = 0.1


@dataclass(frozen=True)
class TemplateConfig:
    """The template-matching FIND; sides in pixels of the halved frame."""

    kernel_side: int = 15
    sharpness: float = 8.0
    rounds: int = 5  # of mutual exclusion between the objects; 0: each is searched on its own
    strength: float = 10.0  # what the same place costs at first, nats
    refinement: int = 0  # rounds in which, at test time, positions and appearances are settled on the frames
    settled: int = 5  # frames that settle appearances
    reach: float = 0.8  # of an object's exclusion, in units of half its size
    floor: float = 0.05  # first scale of a position that is found for sure, frame coordinates
    gate: float = (
        0.1  # of FollowingFIND: how far from where it is expected an object may be, frame coordinates
    )


def kernel_side(frame_size: int) -> int:
    """``TemplateConfig.kernel_side`` for frames of a side, pixels: as much of the frame as 15 are of 50."""
    return int(0.3 * frame_size) | 1


@dataclass(frozen=True)
class SpotConfig:
    """AIR's guide without networks, for things that stand out; not in the paper."""

    extent: float = 0.8  # of what is in an attention window, as a share of that
    level: float = 0.3  # first height of a peak, in the blurred frame, that counts as one half


@dataclass(frozen=True)
class RECTConfig:
    """RECT (App. B.2.2)."""

    K: int = 5
    units: int = 128
    dense: tuple[int, ...] = (64, 64)
    tries: int = (
        1  # consensuses of different frames that are tried at test time; more than 1 is not in the paper
    )
    count_gain: bool = False  # frames that see more objects weigh more; not in the paper


@dataclass(frozen=True)
class MOTConfig:
    """MOT (App. B.2.3)."""

    M: int = 5
    motion: int = 10
    units: int = 64
    heads: tuple[int, ...] = (32,)
    transition: tuple[int, ...] = (64, 64)
    walk_scale: float = 0.1
    weight_shared: str = "none"  # what shares a draw of w: "none", "objects" or "sequences" (reading D2)
    position_scale: float = 1.0
    scale_init: float = 0.1
    differences: int = 0  # LSTM_mot also sees velocities (1) and accelerations (2); not in the paper
    residual: bool = False  # transitions predict changes; not in the paper
    activation: str = "tanh"  # of the transitions; the smoother "silu" is not in the paper
    extents: bool = False  # LSTM_mot also sees each object's tight box; not in the paper
    step: float = 0.2  # unit of differences and changes, frame coordinates
    inertia: bool = False  # velocities are kept where the networks say nothing; not in the paper


@dataclass(frozen=True)
class ModelConfig:
    """The whole model."""

    air: AIRConfig = field(default_factory=AIRConfig)
    find: FINDConfig = field(default_factory=FINDConfig)
    template: TemplateConfig = field(default_factory=TemplateConfig)
    spots: SpotConfig = field(default_factory=SpotConfig)
    rect: RECTConfig = field(default_factory=RECTConfig)
    mot: MOTConfig = field(default_factory=MOTConfig)
    sample_intermediate: bool = True  # False: means of proposals that are no final variable (reading D5)
    attention: str = "learned"  # AIR's networks, or "spots", SpotAIR
    consensus: str = "learned"  # RECT, or "clearest", ClearestFrame
    finder: str = "learned"  # FIND; "template", TemplateFIND; or "following", FollowingFIND
    fusion: str = "average"  # of inference and prediction; or "product", by their precisions
