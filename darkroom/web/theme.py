"""The look: a quiet photographic workshop, paper by day and safelight by night. System fonts only.

Must not know: what is on the page.
"""

import gradio as gr
from gradio.themes.utils import colors, sizes

FONT = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "sans-serif",
)
MONO = ("ui-monospace", "SF Mono", "Cascadia Mono", "Menlo", "Consolas", "monospace")

SAFELIGHT = colors.Color(
    name="safelight",
    c50="#fdf3ef",
    c100="#f9e1d8",
    c200="#f2c3b2",
    c300="#eaa189",
    c400="#e58263",
    c500="#e0694a",
    c600="#b4472b",
    c700="#973a23",
    c800="#7a301f",
    c900="#5c261a",
    c950="#351409",
)
PAPER = colors.Color(
    name="paper",
    c50="#fdfbf7",
    c100="#f5f1ea",
    c200="#e9e2d6",
    c300="#d8cebf",
    c400="#a89c8d",
    c500="#75695c",
    c600="#574d43",
    c700="#3a322b",
    c800="#26211c",
    c900="#1d1916",
    c950="#151210",
)

# A value that begins with * names a step of the colours above.
SURFACES = {
    "body_background_fill": "*neutral_100",
    "body_background_fill_dark": "*neutral_950",
    "body_text_color": "#2a2420",
    "body_text_color_dark": "#ece4d8",
    "body_text_color_subdued": "*neutral_500",
    "body_text_color_subdued_dark": "*neutral_400",
    "background_fill_primary": "*neutral_50",
    "background_fill_primary_dark": "*neutral_900",
    "background_fill_secondary": "*neutral_100",
    "background_fill_secondary_dark": "*neutral_800",
    "border_color_primary": "*neutral_200",
    "border_color_primary_dark": "*neutral_700",
    "border_color_accent": "*primary_600",
    "border_color_accent_dark": "*primary_500",
    "color_accent": "*primary_600",
    "color_accent_soft": "*primary_50",
    "color_accent_soft_dark": "*neutral_800",
    "link_text_color": "*primary_600",
    "link_text_color_dark": "*primary_400",
    "block_background_fill": "transparent",
    "block_background_fill_dark": "transparent",
    "block_border_width": "0px",
    "block_border_width_dark": "0px",
    "block_padding": "0px",
    "block_shadow": "none",
    "block_shadow_dark": "none",
    "panel_background_fill": "transparent",
    "panel_background_fill_dark": "transparent",
    "panel_border_width": "0px",
    "form_gap_width": "0px",
}
LABELS = {
    "block_label_background_fill": "transparent",
    "block_label_background_fill_dark": "transparent",
    "block_title_text_color": "*neutral_600",
    "block_title_text_color_dark": "*neutral_300",
    "block_title_text_size": "*text_sm",
    "block_title_text_weight": "500",
    "block_info_text_color": "*neutral_500",
    "block_info_text_color_dark": "*neutral_400",
    "block_info_text_size": "12px",
}
INPUTS = {
    "input_background_fill": "#ffffff",
    "input_background_fill_dark": "*neutral_950",
    "input_border_color": "*neutral_300",
    "input_border_color_dark": "*neutral_700",
    "input_border_color_focus": "*primary_600",
    "input_border_color_focus_dark": "*primary_500",
    "input_border_width": "1px",
    "input_radius": "8px",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_400",
    "input_shadow": "none",
    "input_shadow_focus": "0 0 0 3px rgb(180 71 43 / 12%)",
    "input_shadow_focus_dark": "0 0 0 3px rgb(224 105 74 / 18%)",
    "slider_color": "*primary_600",
    "slider_color_dark": "*primary_500",
}
BUTTONS = {
    "button_primary_background_fill": "*primary_600",
    "button_primary_background_fill_hover": "*primary_700",
    "button_primary_background_fill_dark": "*primary_500",
    "button_primary_background_fill_hover_dark": "*primary_400",
    "button_primary_text_color": "#ffffff",
    "button_primary_text_color_dark": "#1a0f0a",
    "button_primary_border_color": "transparent",
    "button_primary_border_color_dark": "transparent",
    "button_primary_shadow": "none",
    "button_secondary_background_fill": "transparent",
    "button_secondary_background_fill_dark": "transparent",
    "button_secondary_background_fill_hover": "*neutral_200",
    "button_secondary_background_fill_hover_dark": "*neutral_800",
    "button_secondary_border_color": "*neutral_300",
    "button_secondary_border_color_dark": "*neutral_700",
    "button_secondary_text_color": "*neutral_700",
    "button_secondary_text_color_dark": "*neutral_200",
    "button_secondary_shadow": "none",
    "button_border_width": "1px",
    "button_large_text_weight": "600",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_dark": "transparent",
    "checkbox_label_background_fill_hover": "*neutral_200",
    "checkbox_label_background_fill_hover_dark": "*neutral_800",
    "checkbox_label_background_fill_selected": "*primary_50",
    "checkbox_label_background_fill_selected_dark": "*neutral_800",
    "checkbox_label_border_color": "*neutral_300",
    "checkbox_label_border_color_dark": "*neutral_700",
    "checkbox_label_border_color_selected": "*primary_600",
    "checkbox_label_border_color_selected_dark": "*primary_500",
    "checkbox_label_border_width": "1px",
    "checkbox_label_shadow": "none",
}


def darkroom_theme() -> gr.themes.Base:
    theme = gr.themes.Base(
        primary_hue=SAFELIGHT,
        secondary_hue=SAFELIGHT,
        neutral_hue=PAPER,
        radius_size=sizes.radius_md,
        spacing_size=sizes.spacing_md,
        text_size=sizes.text_md,
        font=list(FONT),
        font_mono=list(MONO),
    )
    return theme.set(**SURFACES, **LABELS, **INPUTS, **BUTTONS)
