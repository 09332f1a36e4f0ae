
?
inputPlaceholder*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ

reluReluinput*
T0"ª