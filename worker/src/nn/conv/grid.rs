//! How images with a border lie in a buffer.

/// Square images with `channels` numbers a pixel and a border of one zero pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Pixels of an edge, the border apart.
    pub side: usize,
    pub channels: usize,
}

impl Grid {
    /// From one row of pixels to the next.
    pub fn row(&self) -> usize {
        (self.side + 2) * self.channels
    }

    /// Numbers of one image, its border included.
    pub fn image(&self) -> usize {
        (self.side + 2) * self.row()
    }

    /// Where the first pixel that is no border lies.
    pub fn start(&self) -> usize {
        self.row() + self.channels
    }

    /// Numbers of one row of pixels that are no border.
    pub fn width(&self) -> usize {
        self.side * self.channels
    }

    /// Copies `rows`, images without a border, into `padded`, whose border stays as it is.
    ///
    /// # Shapes
    /// `images`: `[n, side, side, channels]`; `padded`: `[n, side + 2, side + 2, channels]`.
    pub fn pad<T: Copy>(&self, images: &[T], padded: &mut [T]) {
        let size = self.side * self.width();
        for (image, padded) in images.chunks_exact(size).zip(padded.chunks_exact_mut(self.image()))
        {
            for (y, row) in image.chunks_exact(self.width()).enumerate() {
                let at = self.start() + y * self.row();
                padded[at..at + self.width()].copy_from_slice(row);
            }
        }
    }
}
