"""What an ONNX file would have ONNX Runtime do, looked at before it may: a small walk over its bytes.

ONNX is a protocol buffer (onnx.proto3); only what is needed of it is read. A network that answers here takes one
picture and needs no loops, no branches, no other files, no operators of other people and no tensor that is larger than
its own bytes; one that asks for any of these is refused by name. What sizes are worked out while it runs is bounded by
`session.open_session`.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_BYTES = 512 << 20  # of the file
_MOST_NODES = 20_000
_MOST_PARTS = 500_000  # of the protocol buffer that are looked at
_MOST_VALUES = 64_000_000  # of a tensor that is made of a size alone
_MOST_TIMES = 4096  # that a tensor may be repeated, or enlarged
_MOST_NUMBER = 65_536  # of an operator's attribute: kernels, paddings, axes
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types
_ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}  # by data type
_UINT8, _INT32, _INT64, _FLOAT = 2, 6, 7, 1
_DOMAINS = frozenset({b"", b"ai.onnx"})
_NAMES = (  # of ONNX itself: what networks for pictures are exported to; no Loop, If, Scan, no sequences
    "Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv "
    "ConvTranspose Cos DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand Flatten Floor Gather "
    "GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization "
    "HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax "
    "MatMul Max MaxPool Mean Min Mish Mul Neg Not Or PRelu Pad Pow QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 "
    "ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape "
    "Resize Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus Softsign "
    "SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Trilu Unsqueeze Upsample Where"
)
_OPERATORS = frozenset(_NAMES.split())
_SIZES = {"ConstantOfShape": (0,), "Expand": (1,), "Resize": (3,), "Range": (0, 1, 2), "Pad": (1,)}  # inputs that are
_TIMES = {"Tile": (1,), "Resize": (2,), "Upsample": (1,)}


@dataclass(frozen=True)
class _Tensor:
    name: str
    kind: int  # the data type
    n: int  # values
    small: tuple[float, ...] = ()  # the values themselves, of a short tensor that may be a size


@dataclass
class _Graph:
    tensors: dict[str, _Tensor] = field(default_factory=dict)
    inputs: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)  # data type, sides; 0: not fixed
    outputs: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    nodes: list[tuple[str, list[str], list[str]]] = field(default_factory=list)  # operator, inputs, outputs


def check_network(data: bytes, *, size: int, channels: int, outputs: tuple[str, ...] = ("logit", "cam")) -> None:
    """Raise ValueError, with a clause that says why, for a file that may not be opened.

    size, channels: of the one input `image`, uint8 (batch, size, size, channels). outputs: float32, by name.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"its network has more than {MOST_BYTES >> 20} MB")
    try:
        graph = _Walk().model(memoryview(data))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError("its network is no ONNX file") from error
    inputs = {name: facts for name, facts in graph.inputs.items() if name not in graph.tensors}
    kind, sides = inputs.get("image", (0, ()))
    if len(inputs) != 1 or kind != _UINT8 or sides[1:] != (size, size, channels):
        raise ValueError(f"its network does not take one picture of {size} × {size} pixels and {channels} channels")
    if any(graph.outputs.get(name, (0,))[0] != _FLOAT for name in outputs):
        raise ValueError(f"its network does not answer with {' and '.join(outputs)}")
    if any(side > _MOST_NUMBER for _, sides in graph.outputs.values() for side in sides):
        raise ValueError("its network would answer with more than an answer")
    for node in graph.nodes:
        _check_sizes(node, graph.tensors)


def _check_sizes(node: tuple[str, list[str], list[str]], tensors: dict[str, _Tensor]) -> None:
    """Of tensors that are made of a size that stands in the file."""
    operator, inputs, _ = node
    for places, most, of in ((_SIZES, _MOST_VALUES, operator), (_TIMES, _MOST_TIMES, operator)):
        for place in places.get(operator, ()):
            tensor = tensors.get(inputs[place]) if place < len(inputs) else None
            if tensor is None:
                continue  # worked out while it runs
            if tensor.n > 16 or not math.prod(max(1.0, abs(one)) for one in tensor.small) <= most:
                raise ValueError(f"its network asks for more memory than an answer needs ({of})")


class _Walk:
    """Counts what it looks at, so that a file made of a great many pieces costs little."""

    def __init__(self) -> None:
        self._left = _MOST_PARTS

    def model(self, data: memoryview) -> _Graph:
        """ModelProto: graph 7, opset_import 8, training_info 20, functions 25."""
        graph = None
        for number, value in self._fields(data):
            if number == 7:
                if graph is not None:
                    raise ValueError("its network has two graphs")
                graph = self._graph(_bytes(value))
            elif number == 8 and any(
                n == 1 and bytes(_bytes(v)) not in _DOMAINS for n, v in self._fields(_bytes(value))
            ):
                raise ValueError("its network needs operators of other people")
            elif number in (20, 25):
                raise ValueError("its network brings functions of its own")
        if graph is None:
            raise ValueError("its network is no ONNX file")
        return graph

    def _graph(self, data: memoryview) -> _Graph:
        """GraphProto: node 1, initializer 5, input 11, output 12, sparse_initializer 15."""
        graph = _Graph()
        for number, value in self._fields(data):
            if number == 1:
                graph.nodes.append(self._node(_bytes(value), graph))
                if len(graph.nodes) > _MOST_NODES:
                    raise ValueError(f"its network has more than {_MOST_NODES} steps")
            elif number == 5:
                tensor = self._tensor(_bytes(value))
                graph.tensors[tensor.name] = tensor
            elif number in (11, 12):
                name, facts = self._value_info(_bytes(value))
                (graph.inputs if number == 11 else graph.outputs)[name] = facts
            elif number == 15:
                raise ValueError("its network has sparse weights, which are not read here")
        return graph

    def _node(self, data: memoryview, graph: _Graph) -> tuple[str, list[str], list[str]]:
        """NodeProto: input 1, output 2, op_type 4, attribute 5, domain 7."""
        operator, inputs, outputs, constant = "", list[str](), list[str](), None
        for number, value in self._fields(data):
            if number in (1, 2):
                (inputs if number == 1 else outputs).append(_text(value))
            elif number == 4:
                operator = _text(value)
            elif number == 5:
                constant = self._attribute(_bytes(value)) or constant
            elif number == 7 and bytes(_bytes(value)) not in _DOMAINS:
                raise ValueError("its network needs operators of other people")
        if operator not in _OPERATORS:
            raise ValueError(f"its network has a step '{operator[:40]}', which no network for pictures needs")
        if operator == "Constant" and constant is not None and outputs:
            graph.tensors.setdefault(outputs[0], constant)
        return operator, inputs, outputs

    def _attribute(self, data: memoryview) -> _Tensor | None:
        """AttributeProto: i 3, t 5, g 6, ints 8, tensors 10, graphs 11, sparse 22 and 23. The tensor, if it is one."""
        found = None
        for number, value in self._fields(data):
            if number in (3, 8):
                whole = [value] if isinstance(value, int) else _varints(value)
                if any(abs(_signed(one)) > _MOST_NUMBER for one in whole):
                    raise ValueError("its network has a step with a number that no network for pictures needs")
            elif number == 5:
                found = self._tensor(_bytes(value))
            elif number in (6, 10, 11, 22, 23):
                raise ValueError("its network has steps within steps")
        return found

    def _tensor(self, data: memoryview) -> _Tensor:
        """TensorProto: dims 1, data_type 2, segment 3, name 8, raw_data 9, external_data 13, data_location 14.

        The values stand in raw_data, or one by one in the fields 4 to 7, 10 and 11.
        """
        sides, kind, name, raw = list[int](), 0, "", None
        for number, value in self._fields(data):
            if number == 1:
                sides += [value] if isinstance(value, int) else _varints(value)
            elif number == 2 and isinstance(value, int):
                kind = value
            elif number == 8:
                name = _text(value)
            elif number == 9:
                raw = _bytes(value)
            elif number == 13 or (number == 14 and value != 0):
                raise ValueError("its network has weights in other files; export it as one file")
            elif number in (3, 6):
                raise ValueError("its network has weights in pieces or in words")
        if kind not in _ITEM_BYTES or any(_signed(side) < 0 for side in sides):
            raise ValueError("its network has weights of a kind that is not read here")
        n = math.prod(sides)
        # One by one each value takes a byte at least, so what the file holds bounds what is asked for either way.
        if n * _ITEM_BYTES[kind] != len(raw) if raw is not None else n > len(data):
            raise ValueError("its network has weights of another size than they are said to have")
        return _Tensor(name, kind, n, self._small(data, kind, n, raw))

    def _small(self, data: memoryview, kind: int, n: int, raw: memoryview | None) -> tuple[float, ...]:
        """The values of a short tensor of int32, int64 or float32."""
        if n > 16 or kind not in (_INT32, _INT64, _FLOAT):
            return ()
        layout = {_INT32: "i", _INT64: "q", _FLOAT: "f"}[kind]
        if raw is not None:
            return struct.unpack(f"<{n}{layout}", raw)
        found: list[float] = []
        for number, value in self._fields(data):
            if number == 4:
                found += [x for (x,) in struct.iter_unpack("<f", _bytes(value))]
            elif number in (5, 7):
                found += map(_signed, [value] if isinstance(value, int) else _varints(value))
        return tuple(found)

    def _value_info(self, data: memoryview) -> tuple[str, tuple[int, tuple[int, ...]]]:
        """ValueInfoProto: name 1, type 2 → tensor_type 1 → elem_type 1, shape 2 → dim 1 → dim_value 1."""
        name, kind, sides = "", 0, list[int]()
        for number, value in self._fields(data):
            if number == 1:
                name = _text(value)
            for n1, tensor in self._fields(_bytes(value)) if number == 2 else ():
                for n2, fact in self._fields(_bytes(tensor)) if n1 == 1 else ():
                    if n2 == 1 and isinstance(fact, int):
                        kind = fact
                    for n3, side in self._fields(_bytes(fact)) if n2 == 2 else ():
                        fixed = [v for n4, v in self._fields(_bytes(side)) if n4 == 1] if n3 == 1 else []
                        sides.append(next((one for one in fixed if isinstance(one, int)), 0))
        return name, (kind, tuple(sides))

    def _fields(self, data: memoryview) -> Iterator[tuple[int, "int | memoryview"]]:
        """(field, value) of a message: whole numbers as such, everything else as its bytes."""
        at = 0
        while at < len(data):
            self._left -= 1
            if self._left < 0:
                raise ValueError("its network is made of far more pieces than a network for pictures needs")
            key, at = _varint(data, at)
            number, wire = key >> 3, key & 7
            if wire == _VARINT:
                whole, at = _varint(data, at)
                yield number, whole
                continue
            if wire == _BYTES:
                length, at = _varint(data, at)
            elif wire in (_FOUR, _EIGHT):
                length = 4 if wire == _FOUR else 8
            else:
                raise ValueError("its network is no ONNX file")
            if at + length > len(data):
                raise ValueError("its network is no ONNX file, or is cut short")
            yield number, data[at : at + length]
            at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise ValueError("its network is no ONNX file")


def _varints(data: memoryview) -> list[int]:
    """Packed whole numbers: a few, as sides and attributes are."""
    found, at = list[int](), 0
    while at < len(data):
        if len(found) > _MOST_NUMBER:
            raise ValueError("its network has a step with more numbers than a network for pictures needs")
        value, at = _varint(data, at)
        found.append(value)
    return found


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _bytes(value: "int | memoryview") -> memoryview:
    if isinstance(value, int):
        raise ValueError("its network is no ONNX file")
    return value


def _text(value: "int | memoryview") -> str:
    return bytes(_bytes(value)).decode("utf-8")
