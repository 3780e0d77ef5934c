"""The pack's nodes and its server routes. Each node is thin: inputs, one call, outputs.

data/ has the nodes for pictures and words, train/ those that train, use/ those that apply and
convert networks. editor/ answers the editor, and shared/ has what several nodes need.
"""

from ..compat import ComfyExtension, add_route, has_prompt_hooks, io
from .data.caption import Caption
from .data.dataset_pictures import DatasetPictures
from .data.load_dataset import LoadDataset
from .data.prepare_dataset import PrepareDataset, SavePreparedFolder
from .data.training_words import TrainingWords
from .editor import ROUTES
from .shared.demo_model import LoadDemoModel
from .train.hypernet_config import HypernetConfig
from .train.learning_rate import LearningRate
from .train.range_test import LearningRateRangeTest
from .train.train_hypernet import TrainHypernet
from .use.apply import ApplyHypernet
from .use.average import AverageHypernet
from .use.compare import CompareHypernets, LabelGrid
from .use.convert_merge import ConvertHypernet, MergeHypernets
from .use.create_hook import CreateHookHypernet
from .use.fold import FoldHypernet, HypernetToLora
from .use.hypernets_from_prompt import HypernetPrompt
from .use.inspect import EstimateHypernet, InspectHypernet
from .use.load_save import LoadHypernet, SaveHypernet


class Hypernet(ComfyExtension):
    async def on_load(self) -> None:
        await super().on_load()
        for (method, path), answer in ROUTES.items():
            add_route(method, path, answer)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LoadDemoModel,
            LoadDataset,
            PrepareDataset,
            SavePreparedFolder,
            DatasetPictures,
            Caption,
            TrainingWords,
            HypernetConfig,
            LearningRate,
            LearningRateRangeTest,
            TrainHypernet,
            ApplyHypernet,
            HypernetPrompt,
            LoadHypernet,
            SaveHypernet,
            FoldHypernet,
            HypernetToLora,
            InspectHypernet,
            EstimateHypernet,
            ConvertHypernet,
            MergeHypernets,
            AverageHypernet,
            CompareHypernets,
            LabelGrid,
            *([CreateHookHypernet] if has_prompt_hooks() else []),
        ]
