//! Draws an otpauth URI as a QR code (ISO/IEC 18004), as SVG, as PNG and as lines of text.
//!
//! The pictures hold the key: they go into the one reply, or to whoever had the URI already, and nowhere else.

use png::{BitDepth, ColorType, Encoder};
use qrcode::render::svg;
use qrcode::{Color, EcLevel, QrCode};

/// The light border that readers need, in modules (ISO/IEC 18004, 6.3.8).
const QUIET_ZONE: usize = 4;

/// Why a picture could not be drawn. Nothing of the text is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the picture of a key could not be drawn")]
pub(crate) struct DrawError;

/// A text as a matrix of modules, ready to be drawn.
pub(crate) struct Picture(QrCode);

impl Picture {
    /// Lays out `text`: with medium error correction where it fits, else with the low one.
    pub(crate) fn of(text: &str) -> Result<Self, DrawError> {
        QrCode::with_error_correction_level(text, EcLevel::M)
            .or_else(|_| QrCode::with_error_correction_level(text, EcLevel::L))
            .map(Self)
            .map_err(|_| DrawError)
    }

    /// As SVG: scales to any size.
    pub(crate) fn svg(&self) -> String {
        self.0.render::<svg::Color<'_>>().module_dimensions(8, 8).quiet_zone(true).build()
    }

    /// As lines of text with a quiet zone, two modules a character, dark ones drawn.
    pub(crate) fn lines(&self) -> Vec<String> {
        let side = self.0.width() + 2 * QUIET_ZONE;
        let character = |x: usize, y: usize| match (self.is_dark(x, y), self.is_dark(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        (0..side).step_by(2).map(|y| (0..side).map(|x| character(x, y)).collect()).collect()
    }

    /// As PNG, black on white, one bit a pixel; `module` pixels a side for each module.
    pub(crate) fn png(&self, module: u8) -> Result<Vec<u8>, DrawError> {
        let module = usize::from(module.max(1));
        let side = (self.0.width() + 2 * QUIET_ZONE) * module;
        let pixels = u32::try_from(side).map_err(|_| DrawError)?;
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, pixels, pixels);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::One);
        let mut writer = encoder.write_header().map_err(|_| DrawError)?;
        writer.write_image_data(&self.rows(side, module)).map_err(|_| DrawError)?;
        writer.finish().map_err(|_| DrawError)?;
        Ok(bytes)
    }

    /// Rows of packed bits, the leftmost pixel in the highest bit, 1 for white; each row begins with a new byte.
    fn rows(&self, side: usize, module: usize) -> Vec<u8> {
        let stride = side.div_ceil(8);
        let mut rows = vec![0xFF; stride * side];
        for (y, line) in rows.chunks_exact_mut(stride * module).enumerate() {
            let (row, copies) = line.split_at_mut(stride);
            for x in (0..side).filter(|x| self.is_dark(x / module, y)) {
                row[x / 8] &= !(0x80 >> (x % 8));
            }
            copies.chunks_exact_mut(stride).for_each(|copy| copy.copy_from_slice(row));
        }
        rows
    }

    /// Whether the module at these coordinates, quiet zone included, is dark.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = |at: usize| at.checked_sub(QUIET_ZONE).filter(|at| *at < self.0.width());
        inside(x).zip(inside(y)).is_some_and(|at| self.0[at] == Color::Dark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::otpauth::MAX_URI_LEN;

    fn decode(png: &[u8]) -> String {
        let image = image::load_from_memory(png).unwrap().to_luma8();
        let side = image.width() as usize;
        let pixels = image.into_raw();
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| pixels[y * side + x]);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    /// B4: what a reader sees in the picture is the text, at every size of a module that may be asked for.
    #[test]
    fn pictures_read_back() {
        let text = "otpauth://totp/Example%20AG:ann%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example%20AG&algorithm=SHA1&digits=6&period=30";
        let picture = Picture::of(text).unwrap();
        for module in [2, 3, 8, 16] {
            assert_eq!(decode(&picture.png(module).unwrap()), text, "{module}");
        }
    }

    /// B4: what a reader sees in a terminal is the text.
    #[test]
    fn lines_read_back() {
        let text = "otpauth://totp/Example:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example";
        let lines: Vec<Vec<char>> =
            Picture::of(text).unwrap().lines().iter().map(|line| line.chars().collect()).collect();
        let dark = |x: usize, y: usize| match lines[y / 2][x] {
            '█' => true,
            '▀' => y.is_multiple_of(2),
            '▄' => !y.is_multiple_of(2),
            _ => false,
        };
        let (wide, high) = (lines[0].len(), lines.len() * 2);
        let pixel = |x: usize, y: usize| if dark(x / 4, y / 4) { 0 } else { 255 };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(wide * 4, high * 4, pixel);
        assert_eq!(image.detect_grids()[0].decode().unwrap().1, text);
    }

    /// R47: the smallest module gives a picture of one pixel a module with its quiet zone.
    #[test]
    fn the_side_is_modules_and_quiet_zone() {
        let picture = Picture::of("x").unwrap();
        let image = image::load_from_memory(&picture.png(1).unwrap()).unwrap();
        assert_eq!((image.width(), image.height()), (21 + 8, 21 + 8));
        assert_eq!(image.color(), image::ColorType::L8);
    }

    /// B5: the longest URI that can be built still fits into a picture.
    #[test]
    fn the_longest_uri_fits() {
        let text = "a".repeat(MAX_URI_LEN);
        let picture = Picture::of(&text).unwrap();
        assert!(picture.png(1).is_ok());
        assert!(picture.svg().starts_with("<?xml"));
    }
}
