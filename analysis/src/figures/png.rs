//! Figures as PNG, in their light colours, at two pixels a unit. No font of the machine is asked: the letters come along
//! (DejaVu Sans, `font/LICENSE`), so that the same figure gives the same picture everywhere.

use resvg::usvg::{self, Options, Tree};
use resvg::{render, tiny_skia};

use super::style::flat;

/// Pixels a unit of the SVG.
const SCALE: f32 = 2.0;

/// What turns figures into pictures.
pub struct Rasteriser {
    options: Options<'static>,
}

/// Why there is no picture: a figure that we drew is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    #[error("the figure is no SVG that can be drawn")]
    Svg(#[from] usvg::Error),
    #[error("a picture of {width} x {height} pixels cannot be made")]
    Size { width: u32, height: u32 },
    #[error("the picture cannot be encoded: {reason}")]
    Encode { reason: String },
}

impl Rasteriser {
    /// A rasteriser that knows the two faces of the figures.
    pub fn new() -> Self {
        let mut options = Options { font_family: "DejaVu Sans".to_owned(), ..Options::default() };
        for face in [
            include_bytes!("font/DejaVuSans.ttf").as_slice(),
            include_bytes!("font/DejaVuSans-Bold.ttf").as_slice(),
        ] {
            options.fontdb_mut().load_font_data(face.to_vec());
        }
        Self { options }
    }

    /// The PNG of a figure's SVG.
    ///
    /// # Errors
    /// [`PngError`], for an SVG that is no drawing.
    pub fn png(&self, svg: &str) -> Result<Vec<u8>, PngError> {
        let tree = Tree::from_str(&flat(svg), &self.options)?;
        let size = tree.size();
        let [width, height] = [size.width(), size.height()].map(|x| (x * SCALE).ceil() as u32);
        let mut picture =
            tiny_skia::Pixmap::new(width, height).ok_or(PngError::Size { width, height })?;
        let scale = tiny_skia::Transform::from_scale(SCALE, SCALE);
        render(&tree, scale, &mut picture.as_mut());
        picture.encode_png().map_err(|error| PngError::Encode { reason: error.to_string() })
    }
}

impl Default for Rasteriser {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 60 20\" width=\"60\" height=\"20\">\n";

    fn pixels(inside: &str) -> Vec<[u8; 4]> {
        let png = Rasteriser::new().png(&format!("{HEAD}{inside}</svg>\n")).unwrap();
        let picture = tiny_skia::Pixmap::decode_png(&png).unwrap();
        assert_eq!((picture.width(), picture.height()), (120, 40));
        picture.data().chunks_exact(4).map(|rgba| [rgba[0], rgba[1], rgba[2], rgba[3]]).collect()
    }

    const WHITE: [u8; 4] = [255; 4];

    #[test]
    fn series_have_their_colours_on_white() {
        let drawn = pixels("<path class=\"dot s0\" d=\"M10 5h20v10h-20z\"/>");
        assert_eq!(drawn[0], WHITE);
        assert_eq!(drawn[20 * 120 + 40], [0x44, 0x01, 0x54, 0xff]);
    }

    /// Every letter of the figures has a glyph: a word of each leaves ink, and no two leave the same.
    #[test]
    fn letters_are_in_the_picture_whatever_fonts_the_machine_has() {
        let ink = |text: &str, class: &str| {
            let drawn = pixels(&format!("<text class=\"{class}\" x=\"2\" y=\"15\">{text}</text>"));
            assert!(drawn.iter().filter(|pixel| **pixel != WHITE).count() > 5, "{text}");
            drawn
        };
        let mut seen = Vec::new();
        for letter in "β η α μ σ ∇ √ ≪ ≫ ± ² ³ ½ ¼ ∝ ≤ ≥ − × ⅓ ⅔ ⅖ ⅙ A l 1".split(' ')
        {
            let drawn = ink(letter, "small");
            assert!(!seen.contains(&drawn), "{letter} looks like another");
            seen.push(drawn);
        }
        assert_ne!(ink("width", "head"), ink("width", ""));
    }

    #[test]
    fn what_is_no_svg_is_an_error() {
        let error = Rasteriser::new().png("nothing").unwrap_err();
        assert_eq!(error.to_string(), "the figure is no SVG that can be drawn");
    }
}
