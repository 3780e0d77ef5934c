"""A network as one of core's hooks: it acts on the conditioning that has the hook, nowhere else.

Core asks the hooks of a conditioning for options before each call of the model with it, and tells
their strength by keyframes. So there are patches for each strength; they share the weights.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from comfy.hooks import AdditionalModelsHook, EnumHookScope, HookGroup, TransformerOptionsHook
from comfy.patcher_extension import merge_nested_dicts

from hypernet.apply.effect import Effect, make_schedule, parse_strength_curve
from hypernet.apply.fit import check_fit
from hypernet.apply.patches import PlacedWeights

from .model import architecture, attention_widths, manage
from .sites import NAME, options_with

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

    from hypernet.formats.hns import Network

log = logging.getLogger(__name__)


def hooks_with_network(network: Network, effect: Effect, hooks: HookGroup | None) -> HookGroup:
    group = hooks.clone() if hooks is not None else HookGroup()
    hook = NetworkHook.of(network, effect)
    group.add(hook)
    group.add(AdditionalModelsHook(hook.weights.managed, NAME))
    return group


class NetworkHook(TransformerOptionsHook):
    """Core makes clones of a hook by its class without arguments, and so does `of`."""

    network: Network
    effect: Effect
    weights: PlacedWeights

    def __init__(self) -> None:
        super().__init__(hook_scope=EnumHookScope.HookedOnly)
        self.options: dict[float, dict[str, Any]] = {}  # by the strength of the keyframe

    @classmethod
    def of(cls, network: Network, effect: Effect) -> NetworkHook:
        hook = cls()
        hook.network, hook.effect = network, effect
        hook.weights = PlacedWeights(network, manage)
        return hook

    def clone(self) -> NetworkHook:
        twin = super().clone()
        twin.network, twin.effect, twin.weights = self.network, self.effect, self.weights
        return twin

    def add_hook_patches(
        self, model: ModelPatcher, model_options: dict, target_dict: dict, registered: HookGroup
    ) -> bool:
        """Called when sampling begins. Raises ValueError if the network does not fit the model."""
        warning = check_fit(self.network, attention_widths(model), architecture(model))
        if warning:
            log.warning(warning)
        sampling = model.get_model_object("model_sampling")
        record = self.network.record
        schedule = make_schedule(
            sampling.percent_to_sigma, record.start, curve=parse_strength_curve(record.curve)
        )
        self.effect = replace(self.effect, schedule=schedule)
        self.options = {}
        self.transformers_dict = self._options_at(model, 1.0)  # core loads what is in there
        return super().add_hook_patches(model, model_options, target_dict, registered)

    def on_apply_hooks(self, model: ModelPatcher, transformer_options: dict[str, Any]) -> None:
        """Called before each call of the model with a conditioning that has the hook."""
        options = self._options_at(model, self.strength)
        merge_nested_dicts(transformer_options, options, copy_dict1=False)

    def _options_at(self, model: ModelPatcher, strength: float) -> dict[str, Any]:
        if strength not in self.options:
            effect = replace(self.effect, strength=self.effect.strength * strength)
            self.options[strength] = options_with(model, self.weights, effect)
        return self.options[strength]
