"""Tiny real pipelines of diffusers: every part made here from a config, random weights, 32 pixels.

The texts are spelt letter by letter, so the tokenisers need no vocabulary but an alphabet.
"""

import json

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    ChromaInpaintPipeline,
    ChromaTransformer2DModel,
    DDIMScheduler,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinInpaintPipeline,
    Flux2Transformer2DModel,
    FluxFillPipeline,
    FluxInpaintPipeline,
    FluxKontextInpaintPipeline,
    FluxTransformer2DModel,
    KandinskyV22InpaintCombinedPipeline,
    PriorTransformer,
    QwenImageEditInpaintPipeline,
    QwenImageInpaintPipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3InpaintPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLInpaintPipeline,
    UnCLIPScheduler,
    UNet2DConditionModel,
    VQModel,
    ZImageInpaintPipeline,
    ZImageTransformer2DModel,
)
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2TokenizerFast,
    Qwen2VLImageProcessorPil,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
IMAGE = "<|image_pad|>"
MARKS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", IMAGE, "<|vision_end|>", "<|video_pad|>"]


def clip_tokenizer():
    words = LETTERS + [f"{letter}</w>" for letter in LETTERS] + ["<|startoftext|>", "<|endoftext|>"]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=24)


def clip_text(kind=CLIPTextModel, width=16):
    return kind(
        CLIPTextConfig(
            vocab_size=54,
            hidden_size=width,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            projection_dim=width,
            max_position_embeddings=24,
            bos_token_id=52,
            eos_token_id=53,
        )
    )


def t5_tokenizer():
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0)]
    vocab += [(letter, -2.0) for letter in LETTERS]
    return T5TokenizerFast(vocab=vocab, extra_ids=0, model_max_length=24)


def t5_text():
    return T5EncoderModel(
        T5Config(vocab_size=32, d_model=16, d_ff=32, d_kv=8, num_layers=1, num_heads=2)
    )


def qwen_tokenizer():
    words = [*sorted(ByteLevel.alphabet()), "<|endoftext|>", *MARKS]
    vocab = {word: number for number, word in enumerate(words)}
    tokenizer = Qwen2TokenizerFast(vocab=vocab, merges=[], additional_special_tokens=MARKS)
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}"
    )
    return tokenizer


def qwen_text(layers=2):
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=263,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
    )


def qwen_vision_text():
    ids = qwen_tokenizer().convert_tokens_to_ids
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                "hidden_size": 16,
                "intermediate_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "rope_parameters": {
                    "mrope_section": [1, 1, 2],
                    "rope_type": "default",
                    "type": "default",
                },
                "vocab_size": 263,
                "bos_token_id": None,
                "eos_token_id": None,
            },
            vision_config={
                "depth": 1,
                "hidden_size": 16,
                "intermediate_size": 16,
                "num_heads": 2,
                "out_hidden_size": 16,
                "patch_size": 14,
            },
            vocab_size=263,
            image_token_id=ids(IMAGE),
            vision_start_token_id=ids("<|vision_start|>"),
            vision_end_token_id=ids("<|vision_end|>"),
            video_token_id=ids("<|video_pad|>"),
        )
    )


def autoencoder(channels=4, shift=None, kind=AutoencoderKL, **more):
    return kind(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=2,
        layers_per_block=1,
        sample_size=32,
        **({} if shift is None else {"shift_factor": shift}),
        **more,
    )


def video_autoencoder():
    return AutoencoderKLQwenImage(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )


def sd_unet(channels, width=16, **more):
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=channels,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=4,
        **more,
    )


def sd_schedule():
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def sd(channels=9, kind=StableDiffusionInpaintPipeline):
    return kind(
        vae=autoencoder(),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        unet=sd_unet(channels),
        scheduler=sd_schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sd_text_to_image():
    return sd(4, StableDiffusionPipeline)


def sdxl():
    return StableDiffusionXLInpaintPipeline(
        vae=autoencoder(),
        text_encoder=clip_text(),
        text_encoder_2=clip_text(CLIPTextModelWithProjection),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=sd_unet(
            9,
            32,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=16 + 6 * 4,
        ),
        scheduler=sd_schedule(),
    )


def sd3():
    return StableDiffusion3InpaintPipeline(
        transformer=SD3Transformer2DModel(
            sample_size=16,
            patch_size=1,
            in_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            out_channels=16,
            pos_embed_max_size=32,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(16, shift=0.0, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip_text(CLIPTextModelWithProjection, 16),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_text(CLIPTextModelWithProjection, 16),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5_text(),
        tokenizer_3=t5_tokenizer(),
    )


def kandinsky():
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=9,
        out_channels=8,
        addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        block_out_channels=(8, 16),
        layers_per_block=1,
        encoder_hid_dim=16,
        encoder_hid_dim_type="image_proj",
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
        resnet_time_scale_shift="scale_shift",
    )
    movq = VQModel(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=32,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
    )
    vision = CLIPVisionConfig(
        hidden_size=16,
        image_size=32,
        patch_size=16,
        intermediate_size=16,
        num_attention_heads=2,
        num_hidden_layers=1,
        projection_dim=16,
    )
    prior = PriorTransformer(
        num_attention_heads=2,
        attention_head_dim=8,
        embedding_dim=16,
        num_layers=1,
        num_embeddings=24,
        additional_embeddings=4,
    )
    # At its start the prior's statistics are zero, and so would be the embedding.
    torch.nn.init.ones_(prior.clip_std)
    return KandinskyV22InpaintCombinedPipeline(
        unet=unet,
        scheduler=DDPMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            variance_type="learned_range",
        ),
        movq=movq,
        prior_prior=prior,
        prior_image_encoder=CLIPVisionModelWithProjection(vision),
        prior_text_encoder=clip_text(CLIPTextModelWithProjection),
        prior_tokenizer=clip_tokenizer(),
        prior_scheduler=UnCLIPScheduler(
            variance_type="fixed_small_log",
            prediction_type="sample",
            num_train_timesteps=1000,
            clip_sample_range=5.0,
        ),
        prior_image_processor=CLIPImageProcessor(size=32, crop_size=32),
    )


def flux(kind, channels):
    return kind(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(shift=0.0, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5_text(),
        tokenizer_2=t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=channels,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(2, 2, 4),
            guidance_embeds=kind is not FluxInpaintPipeline,
        ),
    )


def flux_fill():
    return flux(FluxFillPipeline, 16 + 16 + 16)


def flux_inpaint():
    return flux(FluxInpaintPipeline, 16)


def flux_kontext():
    return flux(FluxKontextInpaintPipeline, 16)


def flux2_klein():
    return Flux2KleinInpaintPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder(kind=AutoencoderKLFlux2, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=qwen_text(28),
        tokenizer=qwen_tokenizer(),
        transformer=Flux2Transformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=48,
            timestep_guidance_channels=16,
            axes_dims_rope=(2, 2, 2, 2),
            guidance_embeds=False,
        ),
        is_distilled=True,
    )


def qwen_transformer():
    return QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(2, 2, 4),
    )


def qwen():
    return QwenImageInpaintPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=video_autoencoder(),
        text_encoder=qwen_vision_text(),
        tokenizer=qwen_tokenizer(),
        transformer=qwen_transformer(),
    )


def chroma():
    return ChromaInpaintPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(shift=0.0, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=t5_text(),
        tokenizer=t5_tokenizer(),
        transformer=ChromaTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(2, 2, 4),
            approximator_num_channels=8,
            approximator_hidden_dim=16,
            approximator_layers=1,
        ),
    )


def qwen_edit():
    return QwenImageEditInpaintPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=video_autoencoder(),
        text_encoder=qwen_vision_text(),
        tokenizer=qwen_tokenizer(),
        processor=None,  # see `save`
        transformer=qwen_transformer(),
    )


def z_image():
    return ZImageInpaintPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(shift=0.0, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=qwen_text(),
        tokenizer=qwen_tokenizer(),
        transformer=ZImageTransformer2DModel(
            all_patch_size=(2,),
            all_f_patch_size=(1,),
            in_channels=4,
            dim=16,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[2, 2, 4],
            axes_lens=[256, 32, 32],
        ),
    )


PIPELINES = {
    "sd": sd,
    "sd-text-to-image": sd_text_to_image,
    "sdxl": sdxl,
    "sd3": sd3,
    "kandinsky": kandinsky,
    "flux-fill": flux_fill,
    "flux": flux_inpaint,
    "flux-kontext": flux_kontext,
    "flux2-klein": flux2_klein,
    "chroma": chroma,
    "qwen": qwen,
    "qwen-edit": qwen_edit,
    "z-image": z_image,
}
"""Builders; one at least for each class in `inpaint.latent.families.FAMILIES`."""


def save(name, folder):
    """Build a pipeline and save it as `from_pretrained` expects it."""
    torch.manual_seed(0)
    PIPELINES[name]().save_pretrained(folder, safe_serialization=True)
    if name == "qwen-edit":  # transformers' own processor cannot be made without torchvision
        looking = Qwen2VLImageProcessorPil(size={"shortest_edge": 28**2, "longest_edge": 112**2})
        looking.save_pretrained(folder / "processor")
        index = json.loads((folder / "model_index.json").read_text())
        index["processor"] = ["transformers", "Qwen2VLProcessor"]
        (folder / "model_index.json").write_text(json.dumps(index))
