"""One file, one model: regressors on the cross-sectional rank. Columns reach them in their fitted order, as float32."""
